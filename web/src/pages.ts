/** The pages, in the order of the navigation; a new page is one line here. */
import type { Component } from 'svelte';
import type { IconName } from './components/Icon.svelte';
import Alerts from './pages/Alerts.svelte';
import Encryption from './pages/Encryption.svelte';
import Flows from './pages/Flows.svelte';
import Hosts from './pages/Hosts.svelte';
import Overview from './pages/Overview.svelte';
import Response from './pages/Response.svelte';
import System from './pages/System.svelte';

export interface Page {
  /** Lower-case letters and dashes only: the server knows pages by that. */
  path: `/${string}`;
  title: string;
  icon: IconName;
  component: Component;
}

export const pages: Page[] = [
  { path: '/', title: 'Overview', icon: 'overview', component: Overview },
  { path: '/flows', title: 'Flows', icon: 'flows', component: Flows },
  { path: '/hosts', title: 'Hosts', icon: 'hosts', component: Hosts },
  { path: '/encryption', title: 'Encryption', icon: 'lock', component: Encryption },
  { path: '/alerts', title: 'Alerts', icon: 'alerts', component: Alerts },
  { path: '/response', title: 'Response', icon: 'response', component: Response },
  { path: '/system', title: 'System', icon: 'system', component: System },
];
