export const texts = {
  title: 'Welcome',
  lead: 'Watch and steer your devices.',
  opening: 'Opening your session …',
  failed: 'This link does not open anything',
  failedHelp:
    'A one-time link is good once. If you have set a password, log in with it. If not, restart the server: while nobody has a password, it prints a fresh link.',
  missing: 'The link has lost its end: it should read …/welcome#token=… Copy it as a whole.',
  toLogin: 'Log in',
};
