// The page of a replay: kedge replay.
import './theme';
import { Plot } from './plot';
import { json } from './data';
new Plot(document.getElementById('page')!, json('data'));
