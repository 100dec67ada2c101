import { expect, it } from 'vitest';
import { csvCell, toCsv } from './csv';

it('quotes what must be quoted', () => {
  expect(
    toCsv(
      ['time', 'a "b"'],
      [
        ['2026', 1.5],
        ['x,y', null],
      ],
    ),
  ).toBe('time,"a ""b"""\r\n2026,1.5\r\n"x,y",\r\n');
});
it('gives a spreadsheet nothing to run, and leaves numbers alone', () => {
  expect(csvCell('=1+1')).toBe("'=1+1");
  expect(csvCell('@cmd')).toBe("'@cmd");
  expect(csvCell(-3.5)).toBe('-3.5');
});
