/** A .link file of systemd-udevd: a card keeps the name that the configuration knows, whatever slot it is in. */

export function linkFile(name: string, mac: string): string {
  return `# Made by godwit relocate: this card has the name that the network configuration of the moved system knows.
[Match]
PermanentMACAddress=${mac}

[Link]
NamePolicy=
Name=${name}
`;
}

/** First by name, so that no file of the moved system is read before it. */
export function linkPath(name: string): string {
  return `etc/systemd/network/00-godwit-${name}.link`;
}
