// The page of a comparison: kedge compare --html.
import './theme';
