import { useGraphiQL } from '@graphiql/react';
import { useEffect } from 'react';

// The pane's editor lives in GraphiQL's React state, the streams outside of it.
let editor;

export function TrackResponsePane() {
  const current = useGraphiQL((state) => state.responseEditor);
  useEffect(() => {
    editor = current;
  }, [current]);
  return null;
}

// GraphiQL replaces the pane's whole text with every update, which scrolls it to the top. This
// leaves it where the reader has put it, and at the end when that is where it was.
export function keepScroll(observable) {
  return {
    subscribe: (sink) =>
      observable.subscribe({ ...sink, next: (value) => withScrollKept(() => sink.next(value)) }),
  };
}

function withScrollKept(update) {
  if (!editor) return update();
  const top = editor.getScrollTop();
  const atEnd = top + editor.getLayoutInfo().height >= editor.getScrollHeight() - 1;
  update();
  editor.setScrollTop(atEnd ? editor.getScrollHeight() : top);
}
