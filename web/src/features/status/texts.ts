export const texts = {
  live: 'Live',
  connecting: 'Connecting …',
  waiting: (seconds: number) =>
    seconds > 0 ? `Offline, trying again in ${seconds} s` : 'Offline, trying again',
  retry: 'Now',
  ended: 'Session ended',
  idle: 'Not connected',
  lost: 'Connection lost',
  lostSince: (time: string) => `since ${time}`,
  trying: (seconds: number) => (seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying now …'),
  tryNow: 'Try now',
  readings: 'readings/s',
  devices: 'devices',
  stored: 'stored',
  free: 'free',
  up: 'up',
  unknown: 'server not answering',
};
