// Monaco's standalone API subclasses its diff editors; no page of ours opens one.
export class DiffEditorWidget {}
export class MultiDiffEditorWidget {}
