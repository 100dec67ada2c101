import { Modal } from '@mantine/core';
import type { ReactNode } from 'react';
import classes from './Dialog.module.css';

export function Dialog({
  title,
  size = 'md',
  locked = false,
  onClose,
  children,
}: {
  title: string;
  size?: string | number;
  /** A click beside it does not close it: something in it is shown only once. */
  locked?: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Modal.Root opened onClose={onClose} size={size} closeOnClickOutside={!locked}>
      <Modal.Overlay />
      <Modal.Content>
        {/* Not Mantine's header, which is a second banner to a screen reader. */}
        <div className={classes.head}>
          <Modal.Title>{title}</Modal.Title>
          <Modal.CloseButton aria-label="Close" />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
