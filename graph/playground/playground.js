// Starts GraphiQL with what the server wrote into the page. No module, no build step.
(() => {
  'use strict';

  // GraphiQL's dialogs and menus insert one style element while they are open. The library that
  // does it takes its nonce from this global; without it the policy of the page refuses it.
  window.__webpack_nonce__ = document.currentScript.nonce;

  const root = document.getElementById('playground');
  const config = JSON.parse(root.dataset.config);
  const defaultHeaders = JSON.stringify({ Authorization: config.authorization }, null, 2);

  // Headers hold tokens. GraphiQL leaves them out of its stored tabs when told so, but stores
  // them with its history all the same, so they are taken out of everything that is stored.
  const unstored = new Set(['headers', 'hash', 'response']);
  const withoutHeaders = (text) =>
    JSON.stringify(JSON.parse(text), (key, value) => (unstored.has(key) ? null : value));

  // An entry of the history puts its headers back into the editor; one that was read from
  // storage has none and gets those of a new tab instead of an empty pane.
  const withDefaultHeaders = (text) =>
    JSON.stringify(JSON.parse(text), (key, value) => (key === 'headers' ? value ?? defaultHeaders : value));

  const HEADERS = 'graphiql:headers';
  const HISTORY = new Set(['graphiql:queries', 'graphiql:favorites']);
  const TABS = 'graphiql:tabState';

  // What GraphiQL remembers between visits: tabs, history, layout, never a header. Each address
  // has its own, since several services may share an origin, as on localhost.
  function createStorage(store) {
    const prefix = `authentik-graphql:${window.location.pathname}:`;
    const keys = () => Object.keys(store).filter((key) => key.startsWith(prefix));
    return {
      getItem(key) {
        const text = store.getItem(prefix + key);
        return text && HISTORY.has(key) ? withDefaultHeaders(text) : text;
      },
      setItem(key, value) {
        if (key !== HEADERS) {
          const structured = key === TABS || HISTORY.has(key);
          store.setItem(prefix + key, structured ? withoutHeaders(value) : value);
        }
      },
      removeItem: (key) => store.removeItem(prefix + key),
      clear: () => keys().forEach((key) => store.removeItem(key)),
      get length() {
        return keys().length;
      },
    };
  }

  // The browser may forbid storage; GraphiQL works without.
  function openStorage() {
    try {
      return createStorage(window.localStorage);
    } catch {
      return null;
    }
  }

  // Headers belong to a tab in GraphiQL. A tab whose Authorization is still the untouched
  // placeholder uses the token last sent from another tab, so that it is pasted once; before
  // that the header stays away and the service says that a token is missing.
  let lastAuthorization;
  function requestHeaders(headers = {}) {
    const result = new Headers(headers);
    const authorization = result.get('Authorization');
    if (config.placeholder && authorization === config.authorization) {
      result.delete('Authorization');
      if (lastAuthorization) {
        result.set('Authorization', lastAuthorization);
      }
    } else if (authorization) {
      lastAuthorization = authorization;
    }
    result.set('Accept', 'application/graphql-response+json, application/json;q=0.9');
    result.set('Content-Type', 'application/json');
    return result;
  }

  // GraphQL answers arrive with many statuses; the body tells, whatever the status says.
  async function fetcher(parameters, options = {}) {
    const response = await window.fetch(config.endpoint, {
      method: 'POST',
      headers: requestHeaders(options.headers),
      body: JSON.stringify(parameters),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      const status = `${response.status} ${response.statusText}`.trim();
      return { errors: [{ message: `The answer is not GraphQL (HTTP ${status}).` }] };
    }
  }

  // The type names in the autocomplete popup are links to javascript:, which the policy refuses
  // loudly. Their own click handlers do the work.
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('a[href^="javascript:"]')) {
      event.preventDefault();
    }
  }, true);

  // GraphiQL leaves the variables of its first default tab empty, and after a visit in which
  // nothing was edited adds an empty tab to those it stored, unless it is told what to show.
  function activeTab(storage) {
    try {
      const state = JSON.parse(storage.getItem(TABS));
      return state.tabs[state.activeTabIndex] ?? config.tabs[0];
    } catch {
      return config.tabs[0]; // nothing stored, or nothing that can be read
    }
  }

  const storage = openStorage();
  const { query, variables } = activeTab(storage);
  const { createElement } = window.React;
  const { GraphiQL } = window;

  const logo = createElement(
    GraphiQL.Logo,
    null,
    createElement('span', { className: 'playground-logo' }, 'authentik GraphQL'),
  );
  window.ReactDOM.createRoot(root).render(createElement(GraphiQL, {
    fetcher,
    storage,
    shouldPersistHeaders: false,
    defaultHeaders,
    defaultTabs: config.tabs.map((tab) => ({ ...tab, headers: defaultHeaders })),
    query: query ?? '',
    variables: variables ?? '',
    defaultQuery: '',
    defaultEditorToolsVisibility: 'headers',
  }, logo));
})();
