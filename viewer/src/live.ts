// The page of a run under way: kedge view.
import './theme';
