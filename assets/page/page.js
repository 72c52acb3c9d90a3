// The page of a fleet. Every text of it comes from hosts that may be hostile: it is put there as text, never as markup.
'use strict';
(() => {
  const ROW = 28;
  const MOST_GROUPS = 300;
  const $ = (id) => document.getElementById(id);

  function stop(why) {
    $('why').textContent = why;
    $('why').hidden = false;
    for (const part of document.querySelectorAll('header, nav, main')) part.hidden = true;
  }

  // Makes an element with a class and text.
  function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // Shows what would move the cursor or turn the text around, as the terminal does.
  const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
  const shown = (text) => text.replace(unseen, (c) => '\\u{' + c.codePointAt(0).toString(16) + '}');
  const one = (text) => shown(text).replace(/[\n\t]/g, (c) => (c === '\n' ? '\\n' : '\\t'));
  const count = (number) => number.toLocaleString('en-US');
  const hosts = (number) => count(number) + (number === 1 ? ' host' : ' hosts');
  const age = (minutes) =>
    minutes < 0 ? '' : minutes < 120 ? minutes + ' min' : minutes < 2880 ? Math.floor(minutes / 60) + ' h' : Math.floor(minutes / 1440) + ' d';

  async function unpack(text) {
    const packed = atob(text);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
    return JSON.parse(await new Response(stream).text());
  }

  function start(data) {
    const { name, group, variant, kind, by, age: ages, flags } = data.hosts;
    const { groups, kinds, values, verdicts } = data;
    const total = name.length;
    const lower = name.map((text) => text.toLowerCase());
    const words = groups.map((g) => [g.message, g.rules.join(' '), g.id, verdicts[g.verdict], g.activation].join(' ').toLowerCase());
    const load = kinds.map(([, , needs, limit]) => (limit > 0 ? needs / limit : -1));
    const tone = (g) => 'var(--' + verdicts[g.verdict].replace(' ', '-') + ')';

    // What is chosen. `near` are the indices of the hosts picked in the plot.
    const state = { text: '', verdict: -1, group: -1, value: -1, near: null, sort: 'name', down: false };
    let rows = new Uint32Array(0);
    let chosen = -1;

    const doing = { none: '', reload: 'reload', restart: 'restart' };
    const describe = (g) =>
      [verdicts[g.verdict] === 'change' && doing[g.activation] ? doing[g.activation] + '; ' : '',
        g.rules.length ? g.rules.join(' ') + ' ' : '', g.message, g.binding ? '; ' + g.binding + ' binds' : ''].join('');

    // Filter and order.
    const compare = {
      name: (a, b) => a - b,
      verdict: (a, b) => group[a] - group[b] || a - b,
      by: (a, b) => by[a] - by[b] || a - b,
      system: (a, b) => kind[a] - kind[b] || a - b,
      age: (a, b) => ages[a] - ages[b] || a - b,
      load: (a, b) => load[kind[a]] - load[kind[b]] || a - b,
      message: (a, b) => group[a] - group[b] || variant[a] - variant[b] || a - b,
    };
    function select() {
      const text = state.text.toLowerCase();
      const open = groups.map((g, i) =>
        (state.verdict < 0 || g.verdict === state.verdict) && (state.group < 0 || i === state.group));
      const says = words.map((word) => text !== '' && word.includes(text));
      const found = [];
      const from = state.near;
      const most = from ? from.length : total;
      for (let n = 0; n < most; n++) {
        const i = from ? from[n] : n;
        const g = group[i];
        if (!open[g] || (state.value >= 0 && by[i] !== state.value)) continue;
        if (text === '' || says[g] || lower[i].includes(text)) found.push(i);
      }
      rows = Uint32Array.from(found);
      if (state.sort !== 'name' || state.down || from) {
        const order = compare[state.sort];
        rows.sort(state.down ? (a, b) => order(b, a) : order);
      }
    }

    // The table: only rows that are seen exist.
    const columns = [['name', 'Host'], ['verdict', 'Verdict'], ['by', data.by || 'Zone'], ['system', 'System'],
      ['load', 'Load', 'number'], ['age', 'Facts', 'number'], ['message', 'What']];
    const heads = columns.map(([key, title, cls], index) => {
      const cell = make('div', cls);
      cell.setAttribute('role', 'columnheader');
      cell.setAttribute('aria-colindex', index + 1);
      const button = make('button', cls, one(title));
      button.type = 'button';
      button.addEventListener('click', () => {
        state.down = state.sort === key ? !state.down : key === 'load';
        state.sort = key;
        show();
      });
      cell.append(button);
      $('head').append(cell);
      return [key, cell];
    });
    const pool = new Map();
    const scroller = $('scroll');
    const body = $('rows');
    const virtual = new VirtualCore.Virtualizer({
      count: 0,
      getScrollElement: () => scroller,
      estimateSize: () => ROW,
      overscan: 6,
      scrollToFn: VirtualCore.elementScroll,
      observeElementRect: VirtualCore.observeElementRect,
      observeElementOffset: VirtualCore.observeElementOffset,
      onChange: draw,
    });
    virtual._didMount();

    function fill(row, place) {
      const i = rows[place];
      const g = groups[group[i]];
      const cells = row.children;
      row.dataset.place = place;
      row.setAttribute('aria-rowindex', place + 2);
      row.setAttribute('aria-selected', place === chosen);
      row.id = 'row-' + place;
      cells[0].textContent = one(name[i]);
      cells[0].title = one(name[i]);
      if (flags[i]) {
        const set = ['stale', 'twice', 'unnamed'].filter((_, bit) => flags[i] & (1 << bit));
        cells[0].append(make('span', 'flag', ' ' + set.join(' ')));
      }
      cells[1].textContent = verdicts[g.verdict];
      cells[1].style.setProperty('--tone', tone(g));
      cells[2].textContent = by[i] < 0 ? '' : one(values[by[i]]);
      cells[3].textContent = one(kinds[kind[i]][0]);
      const part = load[kind[i]];
      cells[4].textContent = part < 0 ? '' : Math.round(part * 100) + ' %';
      cells[4].title = part < 0 ? '' : amount(kinds[kind[i]]);
      cells[5].textContent = age(ages[i]);
      cells[6].textContent = one(data.notes[i] ? data.notes[i] + ': ' + g.message : describe(g));
      cells[6].title = cells[6].textContent;
    }
    function draw() {
      const items = virtual.getVirtualItems();
      body.style.height = virtual.getTotalSize() + 'px';
      const wanted = new Set(items.map((item) => item.index));
      const spare = [];
      for (const [place, row] of pool) {
        if (!wanted.has(place) || place >= rows.length) {
          pool.delete(place);
          spare.push(row);
        }
      }
      for (const item of items) {
        if (item.index >= rows.length) continue;
        let row = pool.get(item.index);
        if (!row) {
          row = spare.pop();
          if (!row) {
            row = make('div', 'row');
            row.setAttribute('role', 'row');
            columns.forEach(([, , cls], index) => {
              const cell = make('span', index === 1 ? 'verdict' : cls);
              cell.setAttribute('role', 'gridcell');
              cell.setAttribute('aria-colindex', index + 1);
              row.append(cell);
            });
            body.append(row);
          }
          pool.set(item.index, row);
          fill(row, item.index);
        }
        row.style.transform = 'translateY(' + item.start + 'px)';
      }
      for (const row of spare) row.remove();
    }
    function redraw() {
      virtual.setOptions({ ...virtual.options, count: rows.length });
      virtual._willUpdate();
      for (const [place, row] of pool) if (place < rows.length) fill(row, place);
      draw();
    }

    // Verdicts and groups.
    const sums = verdicts.map(() => 0);
    for (const g of groups) sums[g.verdict] += g.count;
    const verdictButtons = verdicts.map((word, index) => {
      if (sums[index] === 0) return null;
      const button = make('button');
      button.type = 'button';
      button.style.setProperty('--tone', 'var(--' + word.replace(' ', '-') + ')');
      button.append(make('b', '', count(sums[index])), make('span', '', word));
      button.addEventListener('click', () => {
        state.verdict = state.verdict === index ? -1 : index;
        if (state.group >= 0 && state.verdict >= 0 && groups[state.group].verdict !== state.verdict) state.group = -1;
        show();
      });
      $('verdicts').append(button);
      return button;
    });
    const groupButtons = new Map();
    function drawGroups() {
      const text = state.text.toLowerCase();
      const inside = new Set();
      if (text !== '') for (let n = 0; n < rows.length; n++) inside.add(group[rows[n]]);
      const fits = (g, i) =>
        i === state.group || ((state.verdict < 0 || g.verdict === state.verdict) && (text === '' || words[i].includes(text) || inside.has(i)));
      const open = groups.map((g, i) => [g, i]).filter(([g, i]) => fits(g, i));
      $('group-count').textContent = count(open.length);
      const list = $('groups');
      list.replaceChildren();
      groupButtons.clear();
      for (const [g, i] of open.slice(0, MOST_GROUPS)) {
        const button = make('button');
        button.type = 'button';
        button.style.setProperty('--tone', tone(g));
        button.setAttribute('aria-pressed', i === state.group);
        const head = make('span');
        head.append(make('span', 'verdict', verdicts[g.verdict]));
        const variants = g.variants.length > 1 ? '  ' + g.variants.length + ' variants' : '';
        head.append(make('span', 'tag', '  ' + g.id + variants + (g.verified ? '  verified on ' + one(g.verified) : '')));
        if (g.otherwise.length) head.append(make('span', 'flag', '  predicted differently'));
        button.append(make('span', 'number', count(g.count)), head, make('span', 'message', one(describe(g))));
        button.addEventListener('click', () => choose(state.group === i ? -1 : i));
        const item = make('li');
        item.append(button);
        list.append(item);
        groupButtons.set(i, button);
      }
      if (open.length > MOST_GROUPS) list.append(make('li', 'hint', 'and ' + count(open.length - MOST_GROUPS) + ' more groups: search'));
    }
    function choose(index) {
      state.group = index;
      if (index >= 0 && state.verdict >= 0 && groups[index].verdict !== state.verdict) state.verdict = -1;
      show();
    }
    function drawDetail() {
      const box = $('detail');
      box.hidden = state.group < 0;
      box.replaceChildren();
      if (state.group < 0) return;
      const g = groups[state.group];
      const head = make('p');
      const word = make('span', 'verdict', verdicts[g.verdict]);
      word.style.setProperty('--tone', tone(g));
      head.append(word, make('span', 'tag', '  ' + g.id + '  ' + hosts(g.count)));
      box.append(head, make('p', '', shown(describe(g))));
      if (g.verified) box.append(make('p', 'hint', 'verified on ' + one(g.verified)));
      for (const said of g.otherwise.slice(0, 20)) box.append(make('p', 'flag', 'predicted differently: ' + one(said)));
      for (const v of g.variants) {
        if (v.detail === '') continue;
        box.append(make('h3', '', g.variants.length > 1 ? 'variant ' + v.id + ', ' + hosts(v.count) : 'What changes'));
        const pre = make('pre');
        for (const line of v.detail.split('\n')) {
          const cls = line.startsWith('+') && !line.startsWith('+++') ? 'added' : line.startsWith('-') && !line.startsWith('---') ? 'removed' : '';
          pre.append(make('span', cls, shown(line) + '\n'));
        }
        box.append(pre);
      }
    }

    // The plot: one point a host, its need against what the host has.
    const units = { memory: 'MiB', open_files: 'files', tasks: 'tasks', threads_max: 'threads', pid_max: 'processes', somaxconn: 'connections', scoreboard: 'workers' };
    const figure = (bound, v) =>
      bound === 'memory' && v >= 1024 ? (v / 1024).toLocaleString('en-US', { maximumFractionDigits: 1 }) + ' GiB' : count(v) + ' ' + (units[bound] || '');
    const amount = ([, bound, needs, limit]) => 'needs ' + figure(bound, needs) + ' of ' + figure(bound, limit) + ' (' + bound.replace('_', ' ') + ')';
    const bounds = new Map();
    for (let i = 0; i < total; i++) {
      const bound = kinds[kind[i]][1];
      if (bound) bounds.set(bound, (bounds.get(bound) || 0) + 1);
    }
    let plot = null;
    let points = { bound: '', index: [], x: [], y: [] };
    // All hosts have their place; those that are not chosen stay in the background.
    function gather(bound) {
      if (points.bound === bound) return;
      points = { bound, index: [], x: [], y: [] };
      for (let i = 0; i < total; i++) {
        const k = kinds[kind[i]];
        if (k[1] === bound && k[2] > 0) {
          points.index.push(i);
          points.x.push(k[3]);
          points.y.push(k[2]);
        }
      }
    }
    const paint = (u) => {
      const { ctx } = u;
      const style = getComputedStyle(document.documentElement);
      ctx.save();
      ctx.beginPath();
      ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      ctx.clip();
      // The limit itself: what stands above needs more than there is.
      ctx.strokeStyle = style.getPropertyValue('--refused');
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.setLineDash([6, 4]);
      const [low, high] = [Math.max(u.scales.x.min, u.scales.y.min), Math.min(u.scales.x.max, u.scales.y.max)];
      ctx.beginPath();
      ctx.moveTo(u.valToPos(low, 'x', true), u.valToPos(low, 'y', true));
      ctx.lineTo(u.valToPos(high, 'x', true), u.valToPos(high, 'y', true));
      ctx.stroke();
      const size = 7 * devicePixelRatio;
      const tones = groups.map((g) => style.getPropertyValue(tone(g).slice(4, -1)));
      // Hosts that lie on one point are drawn once; the worst group, which comes first, stays on top, and what is not
      // chosen lies under all of them.
      const inside = new Uint8Array(total);
      for (let n = 0; n < rows.length; n++) inside[rows[n]] = 1;
      const seen = new Map();
      for (let n = 0; n < points.x.length; n++) {
        const x = Math.round(u.valToPos(points.x[n], 'x', true));
        const y = Math.round(u.valToPos(points.y[n], 'y', true));
        const g = inside[points.index[n]] ? group[points.index[n]] : groups.length;
        const at = x * 65536 + y;
        const before = seen.get(at);
        if (before === undefined || g < before) seen.set(at, g);
      }
      for (const [at, g] of [...seen].sort((a, b) => b[1] - a[1])) {
        ctx.globalAlpha = g < groups.length ? 0.75 : 0.35;
        ctx.fillStyle = g < groups.length ? tones[g] : style.getPropertyValue('--soft');
        ctx.beginPath();
        ctx.arc(Math.floor(at / 65536), at % 65536, size / 2, 0, 2 * Math.PI);
        ctx.fill();
      }
      ctx.restore();
    };
    function pick(inside, words) {
      const found = [];
      for (let n = 0; n < points.x.length; n++) {
        if (inside(plot.valToPos(points.x[n], 'x'), plot.valToPos(points.y[n], 'y'))) found.push(points.index[n]);
      }
      if (found.length === 0) return;
      state.near = Uint32Array.from(found);
      $('near').textContent = words + ': ' + hosts(found.length);
      show(true);
    }
    function span(list) {
      let [low, high] = [Infinity, 0];
      for (const value of list) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
      return [Math.max(1, low / 1.4), high * 1.4 || 10];
    }
    function drawPlot() {
      if (bounds.size === 0) return;
      gather($('bound').value);
      const none = points.x.length === 0;
      const [x, y] = none ? [[1, 10], [1, 10]] : [span(points.x), span(points.y)];
      const width = Math.max(280, $('figure').clientWidth - 30);
      const style = getComputedStyle(document.documentElement);
      const [ink, line] = [style.getPropertyValue('--soft'), style.getPropertyValue('--line')];
      if (plot) plot.destroy();
      // Round numbers: powers of two, and those between where there are few.
      const splits = (_, index, low, high) => {
        const found = [];
        for (let v = 1; v <= high; v *= 2) {
          if (v >= low) found.push(v);
          if (high / low < 6 && v * 1.5 >= low && v * 1.5 <= high && v > 1) found.push(v * 1.5);
        }
        return found;
      };
      const axis = (label, size) => ({
        label, labelSize: 20, labelGap: 2, size, gap: 4, stroke: ink, font: '12px system-ui', labelFont: '12px system-ui', splits,
        grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 },
        // A step that a logarithmic axis does not label has no number.
        values: (_, list) => list.map((v) => (v == null ? '' : figure(points.bound, v))),
      });
      plot = new uPlot({
        mode: 2, width, height: Math.max(150, Math.min(240, Math.round(innerHeight * 0.26))),
        legend: { show: false },
        cursor: { points: { show: false }, drag: { x: true, y: true, setScale: false, dist: 6 } },
        scales: { x: { time: false, distr: 3, log: 2, range: () => x }, y: { distr: 3, log: 2, range: () => y } },
        axes: [axis('what a host has', 30), axis('what it needs', 78)],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: {
          draw: [paint],
          setSelect: [(u) => {
            const s = u.select;
            if (s.width > 3 || s.height > 3) {
              const inside = (px, py) => px >= s.left && px <= s.left + s.width && py >= s.top && py <= s.top + s.height;
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              pick(inside, 'marked in the plot');
            }
          }],
        },
      }, [null, [points.x, points.y]], $('plot'));
      plot.over.addEventListener('click', (event) => {
        const box = plot.over.getBoundingClientRect();
        const [cx, cy] = [event.clientX - box.left, event.clientY - box.top];
        pick((px, py) => Math.hypot(px - cx, py - cy) <= 8, 'near that point');
      });
      const left = total - points.x.length;
      $('plot-hint').textContent = 'one point a host; above the dashed line a host needs more than it has; click or drag to choose'
        + (left > 0 ? '; ' + count(left) + ' without such a number' : '');
    }

    // What is chosen stands in the address, so that a link shows the same.
    function remember() {
      const parts = new URLSearchParams();
      if (state.group >= 0) parts.set('g', groups[state.group].id);
      if (state.verdict >= 0) parts.set('v', verdicts[state.verdict]);
      if (state.value >= 0) parts.set('z', values[state.value]);
      if (state.text) parts.set('q', state.text);
      const hash = parts.toString();
      if (hash !== location.hash.slice(1)) history.replaceState(null, '', '#' + hash);
    }
    function recall() {
      const parts = new URLSearchParams(location.hash.slice(1));
      const id = parts.get('g');
      state.group = id ? groups.findIndex((g) => g.id.startsWith(id)) : -1;
      state.verdict = verdicts.indexOf(parts.get('v'));
      state.value = parts.has('z') ? values.indexOf(parts.get('z')) : -1;
      state.text = parts.get('q') || '';
      $('search').value = state.text;
      show();
    }

    // The one way by which anything is shown. The plot follows when the browser has time.
    let later = 0;
    function show(samePlot) {
      select();
      chosen = -1;
      $('shown').textContent = (rows.length === total ? '' : count(rows.length) + ' of ') + hosts(total);
      $('table').setAttribute('aria-rowcount', rows.length + 1);
      $('table').setAttribute('aria-colcount', columns.length);
      $('table').removeAttribute('aria-activedescendant');
      for (const [key, cell] of heads) {
        cell.setAttribute('aria-sort', key !== state.sort ? 'none' : state.down ? 'descending' : 'ascending');
      }
      verdictButtons.forEach((button, index) => button && button.setAttribute('aria-pressed', index === state.verdict));
      $('clear').hidden = !(state.text || state.verdict >= 0 || state.group >= 0 || state.value >= 0 || state.near);
      $('near').hidden = !state.near;
      $('copied').textContent = '';
      if (state.value >= 0 || $('zone').value !== '') $('zone').value = state.value < 0 ? '' : String(state.value);
      drawGroups();
      drawDetail();
      scroller.scrollTop = 0;
      redraw();
      remember();
      if (samePlot !== true) {
        cancelAnimationFrame(later);
        later = requestAnimationFrame(() => setTimeout(drawPlot, 0));
      }
    }

    function clear() {
      Object.assign(state, { text: '', verdict: -1, group: -1, value: -1, near: null });
      $('search').value = '';
      show();
    }
    function move(by) {
      if (rows.length === 0) return;
      const before = chosen;
      chosen = Math.max(0, Math.min(rows.length - 1, chosen < 0 ? 0 : chosen + by));
      virtual.scrollToIndex(chosen, { align: 'auto' });
      for (const place of [before, chosen]) if (pool.has(place)) fill(pool.get(place), place);
      draw();
      $('table').setAttribute('aria-activedescendant', 'row-' + chosen);
    }

    $('search').addEventListener('input', () => {
      state.text = $('search').value;
      show();
    });
    $('clear').addEventListener('click', clear);
    body.addEventListener('click', (event) => {
      const row = event.target.closest('.row');
      if (row) {
        chosen = Number(row.dataset.place);
        choose(group[rows[chosen]]);
      }
    });
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const typing = ['INPUT', 'SELECT'].includes(event.target.tagName);
      const page = Math.max(1, Math.floor(scroller.clientHeight / ROW) - 1);
      const ways = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
      if (event.key === '/' && !typing) {
        $('search').focus();
        $('search').select();
      } else if (event.key === 'Escape') {
        clear();
        $('table').focus();
      } else if (event.key in ways && event.target.tagName !== 'SELECT' && !(typing && ['Home', 'End'].includes(event.key))) {
        move(ways[event.key]);
        if (typing) $('table').focus();
      } else if (event.key === 'Enter' && chosen >= 0 && event.target.tagName !== 'BUTTON') {
        choose(group[rows[chosen]]);
      } else {
        return;
      }
      event.preventDefault();
    });
    $('copy').addEventListener('click', async () => {
      // Ansible reads a name with one of these as a pattern, and one with a line end not at all.
      const names = Array.from(rows, (i) => name[i]).filter((text, n) => !(flags[rows[n]] & 4) && !/[\s,:&!*?~[\]()|^$;]/.test(text) && text !== '');
      const left = rows.length - names.length;
      const list = names.join('\n') + '\n';
      try {
        await navigator.clipboard.writeText(list);
      } catch {
        const area = make('textarea');
        area.value = list;
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
      }
      $('copied').textContent = 'copied ' + count(names.length) + ' names: save them as a file, and --limit @FILE'
        + (left > 0 ? '; ' + count(left) + ' left out whose name is a pattern' : '');
    });
    const wishes = matchMedia('(prefers-color-scheme: dark)');
    const paintTheme = (dark) => {
      document.documentElement.dataset.theme = dark ? 'dark' : 'light';
      drawPlot();
    };
    $('theme').addEventListener('click', () => paintTheme(document.documentElement.dataset.theme !== 'dark'));
    wishes.addEventListener('change', () => paintTheme(wishes.matches));
    document.documentElement.dataset.theme = wishes.matches ? 'dark' : 'light';
    addEventListener('hashchange', recall);
    let resized = 0;
    addEventListener('resize', () => {
      clearTimeout(resized);
      resized = setTimeout(drawPlot, 80);
    });

    $('dry').hidden = !data.dry_run;
    $('heading').textContent = hosts(total);
    const known = ages.reduce((all, minutes) => (minutes < 0 ? all : [Math.min(all[0], minutes), Math.max(all[1], minutes)]), [Infinity, -1]);
    $('about').textContent = [
      data.dry_run ? 'nothing was changed' : 'report of a run',
      count(groups.length) + (groups.length === 1 ? ' group' : ' groups'),
      known[1] >= 0 ? 'facts ' + (age(known[0]) === age(known[1]) ? '' : age(known[0]) + ' to ') + age(known[1]) + ' old' : '',
      data.inventory === null ? '' : hosts(data.inventory) + ' in the inventory',
      'made ' + new Date(data.made * 1000).toISOString().slice(0, 16).replace('T', ' ') + ' UTC by apache-tuning ' + data.version,
    ].filter(Boolean).join(' · ');
    if (values.length > 0) {
      $('zone-label').hidden = false;
      $('zone-name').textContent = one(data.by || '');
      const option = (value, text) => {
        const element = make('option', '', text);
        element.value = value;
        return element;
      };
      $('zone').append(option('', 'all'), ...values.map((value, index) => option(String(index), one(value))));
      $('zone').addEventListener('change', () => {
        state.value = $('zone').value === '' ? -1 : Number($('zone').value);
        show();
      });
    }
    if (bounds.size > 0) {
      $('figure').hidden = false;
      $('plot-title').textContent = 'Need against capacity';
      const order = [...bounds].sort((a, b) => b[1] - a[1]);
      for (const [bound, number] of order) {
        const element = make('option', '', bound.replace('_', ' ') + ' (' + hosts(number) + ')');
        element.value = bound;
        $('bound').append(element);
      }
      $('bound').addEventListener('change', drawPlot);
    }
    recall();
    document.documentElement.dataset.ready = Math.round(performance.now());
  }

  if (typeof DecompressionStream === 'undefined') {
    stop('This browser is too old for this page: it has no DecompressionStream. Open it in one of 2023 or newer.');
    return;
  }
  unpack($('data').textContent).then(start).catch((error) => stop('This page cannot be shown: ' + error.message));
})();
