import { ActionIcon, CloseButton, Menu, Select, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useEffect, useState } from 'react';
import type { Schemas } from '@/api/client';
import { formatCount, readable } from '@/lib/numbers';
import { naturally } from '@/lib/order';
import { Icon } from '@/ui/icons';
import { type State, StateDot } from '@/ui/StateDot';
import classes from './FilterBar.module.css';
import { texts } from './texts';

export interface Filter {
  q?: string | undefined;
  state?: State | undefined;
  profile?: string | undefined;
  label?: string[] | undefined;
  sort?: 'name' | 'last_seen' | 'state' | undefined;
}

const STATES: State[] = ['online', 'silent', 'never'];

export function FilterBar({
  filter,
  facets,
  onChange,
}: {
  filter: Filter;
  facets: Schemas['DeviceFacets'] | null;
  onChange: (change: Filter) => void;
}) {
  const [text, setText] = useState(filter.q ?? '');
  const find = useDebouncedCallback((q: string) => onChange({ q: q.trim() || undefined }), 220);
  // The address changed by itself: back button, or filters cleared.
  useEffect(() => setText((old) => (old.trim() === (filter.q ?? '') ? old : (filter.q ?? ''))), [filter.q]);

  const count = (state: State) => facets?.states[state] ?? 0;
  const all = STATES.reduce((n, s) => n + count(s), 0);
  const labels = filter.label ?? [];
  const offered = Object.entries(facets?.labels ?? {}).flatMap(([key, values]) =>
    Object.entries(values)
      .map(([value, n]) => ({ pair: `${key}:${value}`, n }))
      .filter(({ pair }) => !labels.includes(pair))
      .sort((a, b) => naturally(a.pair, b.pair)),
  );
  const profiles = Object.keys(facets?.profiles ?? {}).sort(naturally);

  return (
    <div className={classes.root}>
      <div className={classes.line}>
        <TextInput
          className={classes.find}
          data-find
          type="search"
          aria-label={texts.find}
          placeholder={texts.find}
          leftSection={<Icon name="search" size={14} />}
          value={text}
          onChange={(e) => {
            setText(e.currentTarget.value);
            find(e.currentTarget.value);
          }}
          rightSection={
            text ? (
              <CloseButton
                size="xs"
                aria-label="Clear the search"
                onClick={() => {
                  setText('');
                  onChange({ q: undefined });
                }}
              />
            ) : null
          }
        />
        {profiles.length > 0 && (
          <Select
            className={classes.profile}
            aria-label="Profile"
            placeholder={texts.profile}
            data={profiles.map((p) => ({ value: p, label: readable(p) }))}
            value={filter.profile ?? null}
            onChange={(value) => onChange({ profile: value ?? undefined })}
            clearable
            clearButtonProps={{ 'aria-label': 'Any profile' }}
            comboboxProps={{ width: 180, position: 'bottom-start' }}
          />
        )}
        <Menu position="bottom-end" width={170}>
          <Menu.Target>
            <ActionIcon
              variant="default"
              size={30}
              aria-label={`${texts.sort}: ${texts.sortBy[filter.sort ?? 'name']}`}
              title={texts.sort}
            >
              <Icon name="filter" size={15} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Label>{texts.sort}</Menu.Label>
            {(['name', 'last_seen', 'state'] as const).map((key) => (
              <Menu.Item
                key={key}
                rightSection={(filter.sort ?? 'name') === key ? <Icon name="check" size={14} /> : null}
                onClick={() => onChange({ sort: key === 'name' ? undefined : key })}
              >
                {texts.sortBy[key]}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </div>
      <div className={classes.line}>
        <fieldset className={classes.states}>
          <legend className="visually-hidden">State</legend>
          <button type="button" aria-pressed={!filter.state} onClick={() => onChange({ state: undefined })}>
            {texts.all} <b>{formatCount(all)}</b>
          </button>
          {STATES.filter((s) => count(s) > 0 || filter.state === s).map((s) => (
            <button
              key={s}
              type="button"
              aria-pressed={filter.state === s}
              onClick={() => onChange({ state: filter.state === s ? undefined : s })}
            >
              <StateDot state={s} labelled /> <b>{formatCount(count(s))}</b>
            </button>
          ))}
        </fieldset>
        {labels.map((pair) => (
          <span key={pair} className={classes.chip}>
            {pair.replace(':', ' = ')}
            <CloseButton
              size="xs"
              aria-label={`Remove the filter ${pair}`}
              onClick={() => onChange({ label: labels.filter((l) => l !== pair) })}
            />
          </span>
        ))}
        {offered.length > 0 && (
          <Menu position="bottom-start" width={220}>
            <Menu.Target>
              <button type="button" className={classes.add}>
                <Icon name="plus" size={12} /> {texts.label}
              </button>
            </Menu.Target>
            <Menu.Dropdown className={classes.menu}>
              {offered.slice(0, 60).map(({ pair, n }) => (
                <Menu.Item
                  key={pair}
                  rightSection={<span className={classes.count}>{formatCount(n)}</span>}
                  onClick={() => onChange({ label: [...labels, pair] })}
                >
                  {pair.replace(':', ' = ')}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        )}
      </div>
    </div>
  );
}
