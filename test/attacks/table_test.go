//go:build linux

package attacks

func table() []row {
	var all []row
	for _, rows := range [][]row{httpRows(), bodyRows(), documentRows(), idRows(), upstreamRows()} {
		all = append(all, rows...)
	}
	return all
}
