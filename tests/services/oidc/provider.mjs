// OpenID Connect providers for tests: npm's oidc-provider, one for each test that asks, with keys of its own.
//
// Usage: node provider.mjs PORT, in a directory tree where `npm install oidc-provider` was run (MODULES below).
//   POST /new          -> {"url": …}: a provider on a port of its own
//   POST /rotate?url=… -> it signs with new keys and publishes only those
//   POST /stop?url=…   -> it goes away
// Whoever is named in `login_hint` signs in at once. The resource `urn:scaidrive:{tenant id}:{alg}` gets an access
// token (a JWT signed with that algorithm) that names the tenant.

import { generateKeyPairSync } from 'node:crypto';
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

function configuration() {
  return {
    jwks: { keys: keys() },
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

async function open() {
  const house = { provider: null };
  const server = createServer((request, response) => {
    const failed = (error) => response.writeHead(500).end(String(error));
    if (request.url.startsWith('/interaction/')) {
      signIn(house.provider, request, response).catch(failed);
    } else {
      house.provider.callback()(request, response);
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  house.rotate = () => { house.provider = new Provider(url, configuration()); };
  house.stop = () => { server.close(); server.closeAllConnections(); };
  house.rotate();
  providers.set(url, house);
  return url;
}

async function control(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const url = searchParams.get('url');
  if (pathname === '/new') return response.end(JSON.stringify({ url: await open() }));
  const house = providers.get(url);
  if (pathname === '/rotate' && house) { house.rotate(); return response.end('{}'); }
  if (pathname === '/stop' && house) { house.stop(); providers.delete(url); return response.end('{}'); }
  return response.writeHead(pathname === '/' ? 200 : 404).end('{}');
}

createServer((request, response) => {
  control(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(Number(process.argv[2]), '127.0.0.1');
