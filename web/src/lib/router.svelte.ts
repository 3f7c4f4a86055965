/** Which page is shown: its path, and what the query says about it. */

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.read());
  }

  go(path: string, query?: Record<string, string>): void {
    history.pushState(null, '', path + suffix(query));
    this.read();
    scrollTo(0, 0);
  }

  /** Changes the query of the page without a step in the history. */
  note(query: Record<string, string>): void {
    history.replaceState(null, '', location.pathname + suffix(query));
    this.query = new URLSearchParams(location.search);
  }

  private read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }
}

function suffix(query: Record<string, string> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  return given.length > 0 ? `?${new URLSearchParams(given)}` : '';
}

export const router = new Router();

/** Follows a link inside the application without loading the page anew. */
export function follow(event: MouseEvent): void {
  const link = event.currentTarget as HTMLAnchorElement;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  router.go(link.pathname, Object.fromEntries(new URLSearchParams(link.search)));
}
