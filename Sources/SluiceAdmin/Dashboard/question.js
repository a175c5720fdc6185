// A question in a dialog, and which of its buttons answered.

const pending = new WeakMap();

/**
 * Shows the dialog; resolves to its return value once it is closed, 'cancel' if it is dismissed.
 *
 * The event of a dialog's closing comes a moment after it has closed. Who asks again within that
 * moment must not be taken for answered by it, so an open question is settled before the next.
 */
export function asked(dialog) {
  pending.get(dialog)?.('cancel');
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    const settle = (answer) => {
      dialog.removeEventListener('close', closed);
      pending.delete(dialog);
      resolve(answer);
    };
    const closed = () => { if (!dialog.open) settle(dialog.returnValue); };
    dialog.addEventListener('close', closed);
    pending.set(dialog, settle);
  });
}
