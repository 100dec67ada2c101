import { expect, it } from 'vitest';
import { naturally } from './order';

it('sorts names as people do', () => {
  const names = ['Cold room 10', 'cold room 2', 'Cold room 1', 'Cold room', 'Boiler 100'];
  expect(names.sort(naturally)).toEqual([
    'Boiler 100',
    'Cold room',
    'Cold room 1',
    'cold room 2',
    'Cold room 10',
  ]);
});
