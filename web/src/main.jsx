import './monaco-environment.js';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { createFetcher } from './fetcher.js';
import { TrackResponsePane } from './response-pane.js';
import { tour } from './tour.js';
import './styles.css';

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={createFetcher(document.baseURI)}
    defaultTabs={tour}
    defaultEditorToolsVisibility="variables"
  >
    <GraphiQL.Logo>Talkgraph</GraphiQL.Logo>
    <TrackResponsePane />
  </GraphiQL>,
);
