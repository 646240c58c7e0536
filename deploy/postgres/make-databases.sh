#!/bin/sh
# Makes a database for each service named in $SERVICES, with two roles: <db>_owner has the tables and migrates,
# <db>_app is what the service runs as, so that row-level security holds for it. Running it again changes only passwords.
# Reads: PGHOST, PGUSER, PGPASSWORD (an administrator), SERVICES, OWNER_PASSWORD, APP_PASSWORD.
set -eu

for service in $SERVICES; do
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres \
        --set db="cordboard_$service" --set owner="cordboard_${service}_owner" --set app="cordboard_${service}_app" \
        --set owner_password="$OWNER_PASSWORD" --set app_password="$APP_PASSWORD" <<'SQL'
SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY[:'owner', :'app']) role
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE :"owner" LOGIN PASSWORD :'owner_password';
ALTER ROLE :"app" LOGIN PASSWORD :'app_password';
SELECT format('CREATE DATABASE %I OWNER %I', :'db', :'owner')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
REVOKE ALL ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO :"app";
SQL
    echo "cordboard_$service is there"
done
