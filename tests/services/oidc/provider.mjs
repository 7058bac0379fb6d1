// OpenID Connect providers for tests: npm's oidc-provider, one for each test that asks, with keys of its own.
//
// Usage: node provider.mjs PORT, in a directory tree where `npm install oidc-provider` was run (MODULES below).
//   POST /new          -> {"url": …}: a provider on a port of its own
//   POST /rotate?url=… -> it signs with new keys and publishes only those
//   POST /stop?url=…   -> it goes away
//   POST /mint?url=…   -> {"token": …}: an access token of that provider, with the claims that the body names
// With `PORT STANDING FILE` there is one from the start, on the port STANDING; its keys lie in FILE, so that it is the
// same again after it was killed.
// Whoever is named in `login_hint` signs in at once. The resource `urn:scaidrive:{tenant id}:{alg}` gets an access
// token (a JWT signed with that algorithm) that names the tenant.

import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const modules = createRequire(pathToFileURL(`${process.env.MODULES}/`));
const { default: Provider } = await import(pathToFileURL(modules.resolve('oidc-provider')));

let number = 0;

function keys() {
  number += 1;
  const key = (type, options, alg) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${number}` };
  };
  return [
    key('rsa', { modulusLength: 2048 }, 'RS256'),
    key('ec', { namedCurve: 'P-256' }, 'ES256'),
    key('ed25519', {}, 'EdDSA'),
  ];
}

// Returns the keys in a file, which gets new ones if it is not there.
function kept(file) {
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(keys()), { mode: 0o600 });
  return JSON.parse(readFileSync(file, 'utf8'));
}

function configuration(held) {
  return {
    jwks: { keys: held },
    cookies: { keys: ['a key for tests'] },
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    pkce: { required: () => true },
    clients: [
      {
        client_id: 'scaidrive',
        client_secret: 'hush: a secret/with+signs',
        redirect_uris: ['https://drive.example/api/v1/auth/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
      },
      {
        client_id: 'robot',
        client_secret: 'robot-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    extraTokenClaims: async (ctx, token) => {
      const [, , tenant] = (token.resourceServer?.identifier() ?? token.aud ?? '').split(':');
      const person = token.accountId
        ? { email: `${token.accountId}@example.org`, name: `Person ${token.accountId}` }
        : { act: { client_id: token.clientId } };
      return { tenant_id: tenant, groups: ['staff', 7, 'everybody'], ...person };
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'files:read files:write',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: resource.split(':')[3] } },
        }),
      },
    },
  };
}

async function signIn(provider, request, response) {
  const { params, prompt } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: params.login_hint, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(params.resource, 'files:read files:write');
  const result = { login: { accountId: params.login_hint }, consent: { grantId: await grant.save() } };
  if (params.login_hint === 'nobody') {
    Object.assign(result, { error: 'access_denied', error_description: `No <${prompt.name}> for nobody` });
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const providers = new Map();

async function open(port = 0, standing = null) {
  const house = {};
  const server = createServer((request, response) => {
    const failed = (error) => response.writeHead(500).end(String(error));
    if (request.url.startsWith('/interaction/')) {
      signIn(house.provider, request, response).catch(failed);
    } else {
      house.provider.callback()(request, response);
    }
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  const use = (held) => {
    house.keys = held;
    house.provider = new Provider(url, configuration(held));
  };
  house.rotate = () => use(keys());
  house.stop = () => { server.close(); server.closeAllConnections(); };
  use(standing ?? keys());
  providers.set(url, house);
  return url;
}

async function mint(url, house, request) {
  let body = '';
  for await (const part of request) body += part;
  const key = house.keys.find(({ alg }) => alg === 'RS256');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: url, iat: now, exp: now + 24 * 3600, ...JSON.parse(body) };
  const coded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${coded({ typ: 'at+jwt', alg: 'RS256', kid: key.kid })}.${coded(claims)}`;
  const signature = sign('sha256', Buffer.from(text), createPrivateKey({ key, format: 'jwk' }));
  return `${text}.${signature.toString('base64url')}`;
}

async function control(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const url = searchParams.get('url');
  if (pathname === '/new') return response.end(JSON.stringify({ url: await open() }));
  const house = providers.get(url);
  if (pathname === '/mint' && house) return response.end(JSON.stringify({ token: await mint(url, house, request) }));
  if (pathname === '/rotate' && house) { house.rotate(); return response.end('{}'); }
  if (pathname === '/stop' && house) { house.stop(); providers.delete(url); return response.end('{}'); }
  return response.writeHead(pathname === '/' ? 200 : 404).end('{}');
}

const [, , port, standing, file] = process.argv;
if (standing) await open(Number(standing), kept(file));
createServer((request, response) => {
  control(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(Number(port), '127.0.0.1');
