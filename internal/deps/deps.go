//go:build deps

// Package deps pins modules until the packages that use them are there; it is deleted before the first release.
package deps

import (
	_ "github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	_ "github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"
	_ "github.com/PuerkitoBio/goquery"
	_ "github.com/a-h/templ"
	_ "github.com/caarlos0/env/v11"
	_ "github.com/chromedp/chromedp"
	_ "github.com/coreos/go-oidc/v3/oidc"
	_ "github.com/go-chi/chi/v5"
	_ "github.com/go-jose/go-jose/v4/jwt"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/uuid"
	_ "github.com/gorilla/sessions"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/microsoft/kiota-abstractions-go/authentication"
	_ "github.com/microsoft/kiota-http-go"
	_ "github.com/microsoft/kiota-serialization-json-go"
	_ "github.com/microsoftgraph/msgraph-sdk-go/auditlogs"
	_ "github.com/microsoftgraph/msgraph-sdk-go/directory"
	_ "github.com/microsoftgraph/msgraph-sdk-go/directoryroles"
	_ "github.com/microsoftgraph/msgraph-sdk-go/domains"
	_ "github.com/microsoftgraph/msgraph-sdk-go/groups"
	_ "github.com/microsoftgraph/msgraph-sdk-go/models"
	_ "github.com/microsoftgraph/msgraph-sdk-go/organization"
	_ "github.com/microsoftgraph/msgraph-sdk-go/rolemanagement"
	_ "github.com/microsoftgraph/msgraph-sdk-go/users"
	_ "github.com/pressly/goose/v3"
	_ "golang.org/x/mod/sumdb/tlog"
	_ "golang.org/x/oauth2"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/time/rate"
	_ "modernc.org/sqlite"
)
