// What of the vendored file the page uses, for `tsc --checkJs`.
export type Node = unknown;
export function html(strings: TemplateStringsArray, ...values: unknown[]): Node;
export function render(node: Node, into: Element): void;
export type Set<S> = (next: S | ((was: S) => S)) => void;
// What begins as nothing may become anything.
export function useState(first: null | undefined): [any, Set<any>];
export function useState<S>(first: S | (() => S)): [S, Set<S>];
export function useReducer<S, A>(reduce: (state: S, act: A) => S, first: S): [S, (act: A) => void];
export function useEffect(effect: () => void | (() => void), inputs?: unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: unknown[]): void;
export function useMemo<T>(make: () => T, inputs?: unknown[]): T;
export function useRef(first: null): { current: any };
export function useRef<T>(first: T): { current: T };
