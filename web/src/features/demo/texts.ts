export const texts = {
  banner: (n: number) => `Demo site: ${n} devices`,
  bannerHint: 'made-up readings, to look around with.',
  starting: 'Demo site: starting …',
  remove: 'Remove the demo',
  removeTitle: 'Remove the demo site?',
  removeText: (n: number) =>
    `Its ${n} devices go, with all their readings. Your own devices stay. You can start it again at any time.`,
  cancel: 'Keep it',
  removed: 'The demo site is gone.',
  again: 'Start it again',
  start: 'Start the demo site',
  startHint: '50 devices: a cold chain, pumps, air quality, solar, a fleet. One click removes it.',
  next: 'What next?',
  connect: 'Connect a device',
  connectHint: 'One line to copy, and you watch its first reading arrive.',
};
