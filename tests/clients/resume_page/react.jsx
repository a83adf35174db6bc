// @laravel/echo-react as it is, in React's strict mode, which mounts every component twice.
import { configureEcho, echo, useConnectionStatus, useEcho, useEchoPresence, useEchoPublic } from '@laravel/echo-react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { resume } from 'soundpost-resume';

configureEcho(Soundpost.options);
window.resumption = resume(echo(), { positions: Soundpost.positions, ...Numbers.options() });

function Channels() {
  useEchoPublic('news', '.told', ({ n }) => Numbers.tell('news', n));
  useEcho('orders', '.told', ({ n }) => Numbers.tell('private-orders', n));
  useEchoPresence('room', '.told', ({ n }) => Numbers.tell('presence-room', n));
  return null;
}

function App() {
  const [shown, setShown] = useState(true);
  window.setShown = setShown;
  document.getElementById('state').textContent = useConnectionStatus();
  return shown && <Channels />;
}

createRoot(document.getElementById('app')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
