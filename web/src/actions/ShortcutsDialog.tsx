import { Dialog } from '@/ui/Dialog';
import { Keys } from '@/ui/Keys';
import { type ActionContext, labelOf, offered } from './actions';
import classes from './ShortcutsDialog.module.css';
import { spellShortcut } from './shortcuts';

export function ShortcutsDialog({ context, onClose }: { context: ActionContext; onClose: () => void }) {
  return (
    <Dialog onClose={onClose} title="Keyboard shortcuts" size="sm">
      <dl className={classes.list}>
        {offered(context)
          .filter((a) => a.shortcut)
          .map((a) => (
            <div key={a.id}>
              <dt>{labelOf(a, context)}</dt>
              <dd>
                <Keys keys={spellShortcut(a.shortcut!)} />
              </dd>
            </div>
          ))}
      </dl>
    </Dialog>
  );
}
