//go:build nosimulator

package main

import (
	"context"
	"errors"
	"io"
)

func demo(context.Context, []string, []string, io.Writer, io.Writer) error {
	return errors.New("this build holds no simulator: run 'go run ./cmd/server demo' from the source")
}
