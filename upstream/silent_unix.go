//go:build linux || darwin

package upstream

import "syscall"

// canProbe tells that a connection can be asked whether something has come.
const canProbe = true

// probe is what it takes to look whether something has come, without a wait and without taking it.
type probe struct {
	look func(fd uintptr) bool
	buf  [1]byte
	err  error
}

// silent tells that the connection is open and that nothing has come.
func (w *wire) silent() bool {
	p := &w.probe
	if p.look == nil { // once, because it is on the heap
		p.look = func(fd uintptr) bool {
			_, _, p.err = syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			return true
		}
	}
	return w.raw.Read(p.look) == nil && p.err == syscall.EAGAIN //nolint:errorlint // as the kernel gives it
}
