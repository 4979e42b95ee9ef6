package upstreamtest

import (
	"cmp"
	"slices"
)

// Release names a line of authentik releases whose wire format differs from
// the others.
type Release string

// The releases that can be played. Each stands for one patch release, since
// some formats changed within a line.
const (
	R2023_10 Release = "2023.10" // as 2023.10.7
	R2024_8  Release = "2024.8"  // as 2024.8.4: redirect_uris is still a string
	R2024_12 Release = "2024.12" // by its OpenAPI document
	R2025_8  Release = "2025.8"  // as 2025.8.6
	R2025_12 Release = "2025.12" // as 2025.12.4
	R2026_2  Release = "2026.2"  // as 2026.2.2

	// A grant's provider has only the keys of every kind of provider from these
	// two patch releases on, the fix of CVE-2026-40166. Else they are played as
	// the releases before them.
	R2025_12_5 Release = "2025.12.5"
	R2026_2_3  Release = "2026.2.3"

	R2026_5 Release = "2026.5" // as 2026.5.0-rc1
	R2026_8 Release = "2026.8" // as 2026.8.5, by its source and its clients
)

// Releases returns all releases by number. This is not the order in time: 2026.2.2
// is older than 2025.12.5.
func Releases() []Release {
	return []Release{
		R2023_10, R2024_8, R2024_12, R2025_8, R2025_12, R2025_12_5, R2026_2, R2026_2_3, R2026_5, R2026_8,
	}
}

// valid reports whether r is one of Releases.
func (r Release) valid() bool { return slices.Contains(Releases(), r) }

// from reports whether r is first or has a higher number. The strings themselves do
// not sort: "2024.12" is less than "2024.8".
func (r Release) from(first Release) bool {
	all := Releases()
	return slices.Index(all, r) >= slices.Index(all, first)
}

// router reports whether authentik's Go router stands in front of the core.
func (r Release) router() bool { return r.from(R2024_12) && !r.from(R2026_5) }

// genericProvider reports whether a grant's provider has only the keys that
// providers of every kind have.
func (r Release) genericProvider() bool { return r == R2025_12_5 || r.from(R2026_2_3) }

// jsonType is the content type of JSON answers; the charset comes and goes.
func (r Release) jsonType() string {
	if r == R2023_10 || r.from(R2026_2) {
		return "application/json"
	}
	return "application/json; charset=utf-8"
}

// notFound is the detail of a 404 for a row that is unknown or not the caller's.
func (r Release) notFound(resource Resource) string {
	if r.from(R2025_8) {
		return "No " + resource.model() + " matches the given query."
	}
	return textNotFound
}

// pageSize clips the requested size; 0 or less asks for the default.
func (o Options) pageSize(asked int) int {
	if !o.Release.from(R2025_12) {
		if asked <= 0 {
			return 100
		}
		return asked
	}
	if asked <= 0 {
		return cmp.Or(o.PageSize, 20)
	}
	return min(asked, cmp.Or(o.MaxPageSize, 100))
}

// nullExpiresFails reports whether a row with a null expiry whose hidden
// expiring flag is set breaks the serializer.
func (r Release) nullExpiresFails() bool { return !r.from(R2025_8) }
