// Runs before the first paint, so that the page does not flash in the wrong colours.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('flowtrack.theme');
  } catch {
    // Storage may be forbidden; then the system's choice holds.
  }
  if (theme !== 'light' && theme !== 'dark') {
    theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  }
  document.documentElement.dataset.theme = theme;
})();
