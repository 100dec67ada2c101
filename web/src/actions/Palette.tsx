import { Modal } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { queries } from '@/api/queries';
import { Icon } from '@/ui/icons';
import { Keys } from '@/ui/Keys';
import { StateDot } from '@/ui/StateDot';
import { type ActionContext, labelOf, offered } from './actions';
import classes from './Palette.module.css';
import { spellShortcut } from './shortcuts';

interface Row {
  key: string;
  icon: ReactNode;
  label: string;
  hint: ReactNode;
  perform: () => void;
}

/** Devices and commands in one field. */
export function Palette({ context, onClose }: { context: ActionContext; onClose: () => void }) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const [q] = useDebouncedValue(text.trim(), 120);
  const listId = useId();
  const list = useRef<HTMLDivElement>(null);
  const found = useQuery(queries.deviceSearch(q));

  const words = text.trim().toLowerCase();
  const rows: Row[] = [
    ...(found.data?.devices ?? []).slice(0, words ? 8 : 5).map((d) => ({
      key: `d:${d.device}`,
      icon: <StateDot state={d.state} />,
      label: d.name ?? d.device,
      hint: d.name ? <code>{d.device}</code> : null,
      perform: () => context.openDevice(d.device),
    })),
    ...offered(context)
      .filter((a) => a.id !== 'palette' && labelOf(a, context).toLowerCase().includes(words))
      .map((a) => ({
        key: `a:${a.id}`,
        icon: <Icon name={a.icon} />,
        label: labelOf(a, context),
        hint: a.shortcut ? <Keys keys={spellShortcut(a.shortcut)} /> : null,
        perform: () => a.perform(context),
      })),
  ];
  const at = Math.min(chosen, rows.length - 1);

  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: 'nearest' });
  }, [at]);

  const run = (row: Row | undefined) => {
    if (!row) return;
    onClose();
    // After the dialog has given the focus back.
    setTimeout(row.perform);
  };

  return (
    <Modal.Root opened onClose={onClose} padding={0} yOffset="12vh" centered={false} size={560}>
      <Modal.Overlay />
      <Modal.Content aria-label="Search and commands">
        <div className={classes.field}>
          <Icon name="search" />
          <input
            data-autofocus
            role="combobox"
            aria-expanded="true"
            aria-controls={listId}
            aria-activedescendant={rows[at] ? `${listId}-${at}` : undefined}
            aria-label="Search devices and commands"
            placeholder="Search devices and commands"
            value={text}
            spellCheck={false}
            autoComplete="off"
            onChange={(e) => {
              setText(e.currentTarget.value);
              setChosen(0);
            }}
            onKeyDown={(e) => {
              if (e.key === 'ArrowDown') setChosen((at + 1) % Math.max(1, rows.length));
              else if (e.key === 'ArrowUp') setChosen((at - 1 + rows.length) % Math.max(1, rows.length));
              else if (e.key === 'Enter') run(rows[at]);
              else return;
              e.preventDefault();
            }}
          />
        </div>
        <div className={classes.list} role="listbox" id={listId} ref={list} aria-label="Results">
          {rows.map((row, i) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field handles the keys
            <div
              key={row.key}
              id={`${listId}-${i}`}
              role="option"
              aria-selected={i === at}
              className={classes.row}
              onMouseMove={() => setChosen(i)}
              onClick={() => run(row)}
            >
              <span className={classes.icon}>{row.icon}</span>
              <span className={classes.label}>{row.label}</span>
              {row.hint}
            </div>
          ))}
          {rows.length === 0 && <p className={classes.none}>Nothing is called that.</p>}
        </div>
      </Modal.Content>
    </Modal.Root>
  );
}
