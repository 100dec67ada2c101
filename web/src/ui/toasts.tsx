import { create } from 'zustand';
import { Icon } from './icons';
import classes from './toasts.module.css';

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  action?: { label: string; perform: () => void };
}

interface Toasts {
  list: Toast[];
  dismiss: (id: number) => void;
}

export const useToasts = create<Toasts>((set) => ({
  list: [],
  dismiss: (id) => set((s) => ({ list: s.list.filter((t) => t.id !== id) })),
}));

let next = 1;

export function toast(
  text: string,
  options: { tone?: Toast['tone']; action?: Toast['action']; life?: number } = {},
): number {
  const id = next++;
  const entry: Toast = {
    id,
    text,
    tone: options.tone ?? 'plain',
    ...(options.action ? { action: options.action } : {}),
  };
  useToasts.setState((s) => ({ list: [...s.list.slice(-3), entry] }));
  setTimeout(() => useToasts.getState().dismiss(id), options.life ?? (options.tone === 'bad' ? 9000 : 5000));
  return id;
}

export function ToastShelf() {
  const { list, dismiss } = useToasts();
  return (
    <div className={classes.shelf} role="status" aria-live="polite">
      {list.map((t) => (
        <div key={t.id} className={classes.toast} data-tone={t.tone}>
          <span>{t.text}</span>
          {t.action && (
            <button
              type="button"
              className={classes.action}
              onClick={() => {
                t.action?.perform();
                dismiss(t.id);
              }}
            >
              {t.action.label}
            </button>
          )}
          <button type="button" className={classes.close} aria-label="Dismiss" onClick={() => dismiss(t.id)}>
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
