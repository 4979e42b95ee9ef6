module authentik-graphql/deploy

go 1.26.0

require authentik-graphql v0.0.0

replace authentik-graphql => ../
