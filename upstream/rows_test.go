package upstream_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"authentik-graphql/upstream"
)

// checkRows stores a part of a list and restores it.
func checkRows(t *testing.T, rows *upstream.Rows) {
	t.Helper()
	stored := upstream.EncodeRows(rows)
	if !json.Valid(stored) {
		t.Fatalf("no JSON: %s", stored)
	}
	back, err := upstream.RestoreRows(string(stored))
	if err != nil {
		t.Fatalf("RestoreRows: %v\n%s", err, stored)
	}
	if again := upstream.EncodeRows(back); !bytes.Equal(again, stored) {
		t.Errorf("stored again as\n%s\nwant\n%s", again, stored)
	}
	if back.Offset != rows.Offset || back.Count != rows.Count || back.More != rows.More || len(back.Rows) != len(rows.Rows) {
		t.Errorf("came back as %d rows from %d on, of %d, more %t", len(back.Rows), back.Offset, back.Count, back.More)
	}
	for i, row := range back.Rows {
		if !bytes.Equal(upstream.EncodeGrant(row), upstream.EncodeGrant(rows.Rows[i])) {
			t.Errorf("row %d came back as\n%s", i, upstream.EncodeGrant(row))
		}
	}
}

func TestRestoreRows(t *testing.T) {
	row, _ := decode(t, minimal)
	for _, rows := range []*upstream.Rows{
		{},
		{Offset: 5, Count: 9, More: true},
		{Rows: []*upstream.Grant{row}, Count: 1},
		{Rows: []*upstream.Grant{row, row, row}, Offset: 1<<31 - 2, Count: 1<<31 - 1, More: true},
	} {
		checkRows(t, rows)
	}
	for _, stored := range []string{
		``, `null`, `[]`, `{}`, `{"offset":0,"count":0,"more":false}`, `{"offset":0,"count":0,"rows":[]}`,
		`{"offset":-1,"count":0,"more":false,"rows":[]}`, `{"offset":0,"count":-1,"more":false,"rows":[]}`,
		`{"offset":"0","count":0,"more":false,"rows":[]}`, `{"offset":0,"count":0,"more":"no","rows":[]}`,
		`{"offset":0,"count":0,"more":false,"rows":{}}`, `{"offset":0,"count":0,"more":false,"rows":[1]}`,
		`{"offset":0,"count":0,"more":false,"rows":[{}]}`, `{"offset":0,"count":0,"more":false,"rows":[null]}`,
		string(upstream.EncodeGrant(row)),
	} {
		if rows, err := upstream.RestoreRows(stored); err == nil || rows != nil {
			t.Errorf("%s: got %v, error %v", stored, rows, err)
		}
	}
}

// pageSeeds are pages as authentik sends them, and some that it does not.
func pageSeeds(f *testing.F, add func(body []byte)) {
	for _, pks := range [][]int{nil, {1}, {3, 2, 1}, {1, 1}, {0}} {
		add([]byte(hostile(pagination(len(pks), 1, 1, min(1, len(pks)), len(pks)), rowsOf(pks...))))
		add([]byte(hostile(pagination(50, 2, 3, 21, 40), rowsOf(pks...))))
	}
	for _, release := range recordedReleases(f) {
		for _, row := range recordedGrants(f, release) {
			add([]byte(hostile(pagination(1, 1, 1, 1, 1), "["+string(row)+"]")))
			break
		}
	}
	add([]byte(hostile(pagination(-1, -1, -1, -1, -1), `[null,1,"",{}]`)))
	add([]byte(`{"results":[],"pagination":{"count":1.0,"current":1.0,"total_pages":1e0,"start_index":1.0}}`))
}

func FuzzDecodePage(f *testing.F) {
	pageSeeds(f, func(body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		p, _, err := upstream.DecodePage(body, sent)
		if err != nil {
			if p.Rows != nil {
				t.Error("rows beside an error")
			}
			return
		}
		if p.Start < 0 || p.Size < 0 {
			t.Errorf("from %d on, pages of %d", p.Start, p.Size)
		}
		for _, row := range p.Rows {
			if row == nil || row.PK < 1 || row.Provider == nil || row.User == nil {
				t.Fatal("a strict field is missing")
			}
			checkCode(t, reflect.ValueOf(*row))
		}
		checkRows(t, &upstream.Rows{Rows: p.Rows, Offset: p.Start, Count: max(p.Count, 0)})
	})
}

func FuzzRestoreRows(f *testing.F) {
	pageSeeds(f, func(body []byte) {
		if p, _, err := upstream.DecodePage(body, sent); err == nil {
			f.Add(upstream.EncodeRows(&upstream.Rows{Rows: p.Rows, Offset: p.Start, Count: max(p.Count, 0)}))
		}
	})
	f.Add([]byte(`{"offset":0,"count":0,"more":true,"rows":[{"pk":1}]}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		rows, err := upstream.RestoreRows(string(stored))
		if err != nil {
			if rows != nil {
				t.Error("rows beside an error")
			}
			return
		}
		for _, row := range rows.Rows {
			checkCode(t, reflect.ValueOf(*row))
		}
		checkRows(t, rows)
	})
}
