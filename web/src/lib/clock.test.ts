import { expect, it } from 'vitest';
import { Clock } from './clock';

function made() {
  const at = { wall: 1_000_000, steady: 500 };
  return {
    at,
    clock: new Clock(
      () => at.wall,
      () => at.steady,
    ),
  };
}

it('runs with the wall until a server is heard, then with the server', () => {
  const { at, clock } = made();
  expect(clock.now()).toBe(1_000_000);
  at.steady = 600;
  expect(clock.now()).toBe(1_000_100);
  clock.observe(2_000_000, 580); // sent at 580, answered at 600: the server stood at 2,000,000 at about 590
  expect(clock.now()).toBe(2_000_010);
});

it('trusts a quick answer more than a slow one', () => {
  const { at, clock } = made();
  at.steady = 510;
  clock.observe(2_000_000, 500);
  at.steady = 1510;
  clock.observe(2_000_900, 1010); // half a second on the way: could be 250 ms off
  expect(clock.now()).toBe(2_000_005 + 1000);
});

it('follows a server whose clock was set', () => {
  const { at, clock } = made();
  at.steady = 510;
  clock.observe(2_000_000, 500);
  at.steady = 1530;
  clock.observe(9_000_000, 1500);
  expect(clock.now()).toBe(9_000_015);
});
