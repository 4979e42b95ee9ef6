package httpserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDrainingIsNotReady(t *testing.T) {
	s := &Server{}
	for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		s.readyz(w, nil)
		if w.Code != want {
			t.Errorf("readyz answers %d, want %d", w.Code, want)
		}
		s.draining.Store(true)
	}
}
