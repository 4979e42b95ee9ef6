package upstreamtest

import "net/http"

// versionPath is where authentik tells its version.
const (
	versionPath  = "/api/v3/admin/version/"
	allowVersion = "GET, HEAD, OPTIONS"
)

// patch is the patch release that a release is played as.
func (r Release) patch() string {
	switch r {
	case R2023_10:
		return "2023.10.7"
	case R2024_8:
		return "2024.8.4"
	case R2024_12:
		return "2024.12.5"
	case R2025_8:
		return "2025.8.6"
	case R2025_12:
		return "2025.12.4"
	case R2026_2:
		return "2026.2.2"
	case R2026_5:
		return "2026.5.0-rc1"
	case R2026_8:
		return "2026.8.5"
	default: // it names its patch release
		return string(r)
	}
}

// version tells every user the version.
func (a *Authentik) version(r *http.Request, caller *user) reply {
	if caller == nil {
		return a.detail(http.StatusForbidden, allowVersion, textNoCredentials)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a.notAllowed(r.Method, allowVersion)
	}
	release := a.options.Release
	body := object{
		{"version_current", release.patch()}, {"version_latest", release.patch()}, {"version_latest_valid", true},
		{"build_hash", ""}, {"outdated", false},
	}
	body.addIf(release.from(R2024_12), "outpost_outdated", false)
	return a.json(http.StatusOK, allowVersion, body)
}
