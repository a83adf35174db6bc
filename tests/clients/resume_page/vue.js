// @laravel/echo-vue as it is.
import { configureEcho, echo, useConnectionStatus, useEcho, useEchoPresence, useEchoPublic } from '@laravel/echo-vue';
import { resume } from 'soundpost-resume';
import { createApp, h, ref, watchEffect } from 'vue';

configureEcho(Soundpost.options);
window.resumption = resume(echo(), { positions: Soundpost.positions, ...Numbers.options() });

const Channels = {
  setup() {
    useEchoPublic('news', '.told', ({ n }) => Numbers.tell('news', n));
    useEcho('orders', '.told', ({ n }) => Numbers.tell('private-orders', n));
    useEchoPresence('room', '.told', ({ n }) => Numbers.tell('presence-room', n));
    return () => null;
  },
};

createApp({
  setup() {
    const shown = ref(true);
    window.setShown = (value) => (shown.value = value);
    const status = useConnectionStatus();
    watchEffect(() => (document.getElementById('state').textContent = status.value));
    return () => (shown.value ? h(Channels) : null);
  },
}).mount('#app');
