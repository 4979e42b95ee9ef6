package upstreamtest

import "time"

// The life of the rows that come and go.
const (
	demoTick      = time.Second
	demoEvery     = 5 * time.Second // between two new codes
	demoHeadStart = 5 * time.Minute // how long before the start the first was made
	demoCleanup   = 5 * time.Minute // between two cleanups, as authentik has them
	// demoCleanAfter is how long after the start the first cleanup is, not by the
	// clock on the wall: the first minutes of every demonstration are alike.
	demoCleanAfter = 150 * time.Second
	// Every demoRedeemed-th code is redeemed, none before demoPatience or after
	// demoHaste.
	demoRedeemed = 7
	demoPatience = 20 * time.Second
	demoHaste    = 40 * time.Second
	// demoSession is how long sessions last. Refresh tokens end with theirs, or
	// there would be tens of thousands after their thirty days.
	demoSession = 2 * time.Hour
	// Every demoRevoked-th token is revoked after demoRegret.
	demoRevoked = 5
	demoRegret  = 2 * time.Minute
	// Every demoGarbled-th token has an id_token that does not parse.
	demoGarbled = 11
	// demoHistoryRows is how many rows each resource has from DemoHistory on.
	demoHistoryRows = 100
)

// life is how the rows of one resource come and go. Rows are numbered from 0, and
// all times of a row follow from its number.
type life struct {
	resource Resource
	epoch    time.Time     // no row is made before
	every    time.Duration // from row to row, on average
	longest  time.Duration // no row n is there this long after epoch + n*every
	at       func(n int32) birth
	next     int32           // number of the next row to make
	alive    map[int32]birth // by number
}

// birth says when a row was made, when it is revoked and when it goes, the zero
// time being never, and the number of the code it is or comes from.
type birth struct {
	made, revoked, gone time.Time
	code                int32
}

func newLives(epoch time.Time) []*life {
	// cleanup is when a row is cleaned up that expires then.
	cleanup := func(expires time.Time) time.Time {
		first := epoch.Add(demoHeadStart + demoCleanAfter - demoCleanup)
		return first.Add((expires.Sub(first) + demoCleanup - 1) / demoCleanup * demoCleanup)
	}
	code := func(n int32) birth {
		b := birth{made: epoch.Add(time.Duration(n) * demoEvery), code: n}
		b.gone = cleanup(b.made.Add(AuthorizationCodes.validity()))
		if n%demoRedeemed == demoRedeemed-1 {
			b.gone = b.made.Add(demoPatience + time.Duration(n%3)*(demoHaste-demoPatience)/2)
		}
		return b
	}
	// The nth token is made when the nth code to be redeemed is.
	token := func(n int32) birth {
		redeemed := n*demoRedeemed + demoRedeemed - 1
		b := birth{made: code(redeemed).gone, code: redeemed}
		if n%demoRevoked == demoRevoked-1 {
			b.revoked = b.made.Add(demoRegret)
		}
		return b
	}
	access := func(n int32) birth {
		b := token(n)
		b.gone = cleanup(b.made.Add(AccessTokens.validity()))
		return b
	}
	refresh := func(n int32) birth {
		b := token(n)
		b.gone = b.made.Add(demoSession)
		return b
	}
	const tokenEvery = demoRedeemed * demoEvery
	const tokenDelay = tokenEvery + demoHaste // a code is made, a code is redeemed
	lives := []*life{
		{resource: AuthorizationCodes, every: demoEvery, longest: AuthorizationCodes.validity() + demoCleanup, at: code},
		{resource: AccessTokens, every: tokenEvery, longest: tokenDelay + AccessTokens.validity() + demoCleanup, at: access},
		{resource: RefreshTokens, every: tokenEvery, longest: tokenDelay + demoSession, at: refresh},
	}
	for _, l := range lives {
		l.epoch, l.alive = epoch, map[int32]birth{}
	}
	return lives
}

// step brings the rows to now.
func (l *life) step(a *Authentik, now time.Time) {
	for n, b := range l.alive {
		switch {
		case !now.Before(b.gone):
			a.Remove(l.resource, DemoFirst+n)
			delete(l.alive, n)
		case b.isRevoked(now):
			a.Revoke(l.resource, DemoFirst+n)
		}
	}
	// After a long sleep of the machine, skip those that came and went unseen.
	oldest := now.Add(-l.longest)
	l.next = max(l.next, int32(oldest.Sub(l.epoch)/l.every))
	for ; !l.at(l.next).made.After(now); l.next++ {
		b := l.at(l.next)
		if now.Before(b.gone) {
			r := demoRow(l.resource, DemoFirst+l.next, b.code, b.made)
			r.revoked = b.isRevoked(now)
			a.add(l.resource, r)
			l.alive[l.next] = b
		}
	}
}

func (b birth) isRevoked(now time.Time) bool { return !b.revoked.IsZero() && !now.Before(b.revoked) }

// demoRow is the nth code, or a token made from it.
func demoRow(resource Resource, pk, n int32, made time.Time) row {
	r := row{Code: Code{
		PK: pk, Owner: UserAlice, Provider: ProviderGrafana, Expires: made.Add(resource.validity()),
		// The order of scopes is arbitrary in authentik as well.
		Scope: [][]string{{"openid", "profile", "email"}, {"email", "openid", "profile"}, {"profile", "email", "openid"}}[n%3],
	}}
	if n%2 == 1 {
		r.Owner = UserBob
	}
	if n%4 >= 2 {
		r.Provider = ProviderMobile
	}
	if resource == RefreshTokens {
		r.Scope = append(list(r.Scope), "offline_access")
	}
	if resource.hasTokenFields() && pk%demoGarbled == 0 {
		r.idToken = "{\n    \"iss\": \"https://id.example.com/application/o/"
	}
	return r
}

// demoHistoryRow is the nth row from before the start, counted backwards from
// the newest. Of each resource some have expired.
func demoHistoryRow(resource Resource, n int32, start time.Time) row {
	spacing := map[Resource]time.Duration{AuthorizationCodes: demoEvery, AccessTokens: time.Minute, RefreshTokens: 10 * time.Hour}[resource]
	made := start.Add(-demoHeadStart - time.Duration(n+1)*spacing)
	n = demoHistoryRows - 1 - n
	r := demoRow(resource, DemoHistory+n, n, made)
	r.revoked = resource.hasTokenFields() && r.PK%demoRevoked == 0
	return r
}
