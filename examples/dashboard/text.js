// Times as people read them.

// countdown writes seconds as mm:ss, with hours if there are any, and days alone if there are many.
export function countdown(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days > 1) return `${days.toLocaleString('en')} days`;
  return `${hours ? `${hours}:` : ''}${two(minutes % 60)}:${two(seconds % 60)}`;
}

export function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400).toLocaleString('en')} days`;
}

// moment writes a time in the reader's zone, with the day if it is far from now.
export function moment(time, now) {
  const far = time - now > 43200 * 1000;
  return new Date(time).toLocaleString('en-GB', far ? { dateStyle: 'medium' } : { timeStyle: 'medium' });
}

// write leaves the page alone where nothing changes.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// announce tells people who do not see the page what changed; countdowns are not told.
const announcements = document.getElementById('announcements');
export function announce(text) {
  const line = document.createElement('p');
  line.textContent = text;
  announcements.append(line);
  while (announcements.childElementCount > 10) announcements.firstElementChild.remove();
}
