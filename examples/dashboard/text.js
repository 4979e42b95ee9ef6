// Times for human readers.

// countdown formats seconds as mm:ss, with hours if there are any, or as days from two days on.
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

// moment formats a time in the reader's zone, as a date if it is far away.
export function moment(time, now) {
  const far = time - now > 43200 * 1000;
  return new Date(time).toLocaleString('en-GB', far ? { dateStyle: 'medium' } : { timeStyle: 'medium' });
}

// write touches the page only if the text changes.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// announce tells screen readers what changed, except for countdowns.
const announcements = document.getElementById('announcements');
export function announce(text) {
  const line = document.createElement('p');
  line.textContent = text;
  announcements.append(line);
  while (announcements.childElementCount > 10) announcements.firstElementChild.remove();
}
