import { Menu } from '@mantine/core';
import { Icon } from '@/ui/icons';
import { Keys } from '@/ui/Keys';
import { type Action, type ActionContext, labelOf, offered } from './actions';
import { spellShortcut } from './shortcuts';

export function ActionItems({ group, context }: { group: Action['group']; context: ActionContext }) {
  return offered(context)
    .filter((a) => a.group === group)
    .map((a) => (
      <Menu.Item
        key={a.id}
        leftSection={<Icon name={a.icon} />}
        rightSection={a.shortcut ? <Keys keys={spellShortcut(a.shortcut)} /> : null}
        onClick={() => a.perform(context)}
      >
        {labelOf(a, context)}
      </Menu.Item>
    ));
}
