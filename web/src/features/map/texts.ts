export const texts = {
  title: 'Map',
  label: 'Map of the devices. Arrow keys move it, plus and minus change how close it is.',
  zoomIn: 'Closer',
  zoomOut: 'Further away',
  fit: 'Show all',
  open: 'Open',
  close: 'Close',
  placed: (n: number) => `${n} ${n === 1 ? 'device' : 'devices'} with a place`,
  more: (shown: number, total: number) => `Of ${total} devices the first ${shown} are looked at.`,
  none: 'No device has a place yet.',
  noneHelp:
    'A device appears here when it has a location (Edit on its page) or reports latitude and longitude.',
  track: 'The line shows the last six hours.',
  landFailed: 'The shores could not be loaded.',
  list: 'Devices on the map',
};
