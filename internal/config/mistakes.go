package config

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"authentik-graphql/cache"
	"authentik-graphql/internal/bytesize"
)

// mistakes has the first error of each setting: a value that cannot be parsed would be reported as missing or out
// of range as well.
type mistakes map[string]error

func (m mistakes) add(name string, err error) {
	if m[name] == nil {
		m[name] = err
	}
}

// join returns the errors in the order of the settings, or nil.
func (m mistakes) join() error {
	errs := []error{m[""]}
	for _, s := range Settings() {
		errs = append(errs, m[s.Name])
	}
	return errors.Join(errs...)
}

// require adds what a setting must be unless it is so.
func (m mistakes) require(ok bool, name, what string) {
	if !ok {
		m.add(name, mistake(name, what))
	}
}

// addParseErrors adds the env library's errors, with the names of settings instead of fields.
func (m mistakes) addParseErrors(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		m.add("", err)
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			m.add("", err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		what := "cannot be read as " + kinds[field.Type]
		var own valueError
		if errors.As(parse.Err, &own) {
			what = string(own)
		}
		m.require(false, field.Tag.Get("env"), what)
	}
}

// kinds describes the types of settings that do not describe their mistakes themselves.
var kinds = map[reflect.Type]string{
	reflect.TypeFor[time.Duration]():   "a duration",
	reflect.TypeFor[int]():             "a whole number",
	reflect.TypeFor[bytesize.Size]():   "a size",
	reflect.TypeFor[bool]():            "true or false",
	reflect.TypeFor[slog.Level]():      "a level: debug, info, warn or error",
	reflect.TypeFor[cache.RedisMode](): "a mode: standalone, cluster or sentinel",
}

// valueError says what is wrong with a value, which it does not repeat: the value may be secret.
type valueError string

func (e valueError) Error() string { return string(e) }

// mistake makes the error of a setting.
func mistake(name, what string) error {
	return fmt.Errorf("%s %s; for example %s", name, what, settingNamed(name).Example)
}
