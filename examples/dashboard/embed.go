// Package dashboard embeds the example page in the binary, for -demo to serve.
package dashboard

import "embed"

// Files are the page, its scripts and its styles.
//
//go:embed *.html *.js *.css
var Files embed.FS
