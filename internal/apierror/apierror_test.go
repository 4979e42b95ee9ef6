package apierror_test

import (
	"errors"
	"testing"

	"authentik-graphql/internal/apierror"
)

func TestError(t *testing.T) {
	cause := errors.New("cause")
	internal := &apierror.Error{Code: apierror.Internal, Message: "shown", Err: cause}
	if !errors.Is(internal, cause) || internal.Error() != "shown (cause)" || internal.Status() != 500 {
		t.Errorf("%v, status %d", internal, internal.Status())
	}
	over := apierror.OverAs(apierror.PayloadTooLarge, "MAX_BODY", 10, "The body has more bytes")
	if over.Limit != "MAX_BODY" || over.Message != "The body has more bytes than MAX_BODY allows, which is 10." || over.Status() != 413 {
		t.Errorf("%+v, status %d", over, over.Status())
	}
	if list := over.List(); len(list) != 1 || !errors.Is(list[0], over) || list[0].Message != over.Message {
		t.Errorf("%v", list)
	}
}
