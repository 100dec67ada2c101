import '@fontsource-variable/geist/index.css';
import '@fontsource-variable/geist-mono/index.css';
import './mantine.css';
import './tokens.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
