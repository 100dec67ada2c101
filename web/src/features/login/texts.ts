export const texts = {
  title: 'Log in',
  lead: 'Watch and steer your devices.',
  username: 'User name',
  password: 'Password',
  submit: 'Log in',
  help: 'No password yet? The server printed a one-time link when it first started; open that.',
  both: 'Both are needed.',
};
