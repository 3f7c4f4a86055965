/** Light or dark: what the system prefers, unless the user chose. */

export type Choice = 'system' | 'light' | 'dark';

const KEY = 'flowtrack.theme';

class Theme {
  choice = $state<Choice>('system');
  private systemIsDark = $state(false);
  resolved = $derived<'light' | 'dark'>(
    this.choice === 'system' ? (this.systemIsDark ? 'dark' : 'light') : this.choice,
  );

  constructor() {
    const query = matchMedia('(prefers-color-scheme: dark)');
    this.systemIsDark = query.matches;
    query.addEventListener('change', (event) => {
      this.systemIsDark = event.matches;
      this.apply();
    });
    const stored = read();
    if (stored === 'light' || stored === 'dark') this.choice = stored;
    this.apply();
  }

  /** System, light, dark, and round again. */
  next(): void {
    this.choose(this.choice === 'system' ? 'light' : this.choice === 'light' ? 'dark' : 'system');
  }

  choose(choice: Choice): void {
    this.choice = choice;
    try {
      if (choice === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // Storage may be forbidden; the choice then lasts until the page is left.
    }
    this.apply();
  }

  private apply(): void {
    document.documentElement.dataset.theme = this.resolved;
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const theme = new Theme();

/** The colour behind a CSS variable, for drawing on a canvas. */
export function cssColor(variable: string): string {
  const name = variable.replace(/^var\((.*)\)$/, '$1');
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
